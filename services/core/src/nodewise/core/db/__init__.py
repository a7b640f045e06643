"""The record: Postgres. Tables in `schema`, questions and writes in `queries`, nothing else speaks SQL."""
