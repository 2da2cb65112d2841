"""What is done with studies: trainings in full, a worker's tasks, the main job, rounds of it, lambda."""
