"""The same numbers in less time; each has a test that its answer equals the plain one."""
