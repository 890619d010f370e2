"""From images to actions: what to ask for, its key, and what a build would do about it and why."""
