"""Where jobs are done: in several processes side by side."""
