"""The shell: reads the disk, plans, executes, writes outputs and the lock."""
