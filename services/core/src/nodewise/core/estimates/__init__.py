"""What a task will cost: work, memory, run time. Pure; learned figures come in as arguments."""
