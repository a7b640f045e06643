"""All SQL, a function per question, a module per subject. Each takes a `Connection`; none commits."""
