"""The pages of docs/reference, made from the code: every setting, every command, what Python offers."""
