"""The suite of jobs that agents have to run, on a carrier: what a job makes, and how it ends, is the same in a pod."""

from tests.integration.agent.test_agent_jobs import (
    agent,
    test_a_cancelled_task_ends,
    test_a_failing_task_says_its_last_line_and_leaves_its_log,
    test_a_job_runs_and_its_end_is_reported,
    test_a_job_that_cannot_be_read_fails_with_a_reason,
    test_a_log_grows_in_the_store_while_the_task_runs,
    test_a_missing_output_is_a_failure,
    test_a_task_may_change_its_input_without_changing_it_for_others,
    test_a_task_that_ignores_sigterm_is_killed,
    test_a_timeout_ends_the_task_and_its_children,
    test_artifacts_travel_through_the_store,
    test_every_kind_of_failure_has_a_message,
    test_many_jobs_run_at_once,
    test_processes_of_a_task_can_talk_however_deep_its_folder_is,
    test_the_environment_is_the_tasks_own,
)

__all__ = [
    "agent",
    "test_a_cancelled_task_ends",
    "test_a_failing_task_says_its_last_line_and_leaves_its_log",
    "test_a_job_runs_and_its_end_is_reported",
    "test_a_job_that_cannot_be_read_fails_with_a_reason",
    "test_a_log_grows_in_the_store_while_the_task_runs",
    "test_a_missing_output_is_a_failure",
    "test_a_task_may_change_its_input_without_changing_it_for_others",
    "test_a_task_that_ignores_sigterm_is_killed",
    "test_a_timeout_ends_the_task_and_its_children",
    "test_artifacts_travel_through_the_store",
    "test_every_kind_of_failure_has_a_message",
    "test_many_jobs_run_at_once",
    "test_processes_of_a_task_can_talk_however_deep_its_folder_is",
    "test_the_environment_is_the_tasks_own",
]
