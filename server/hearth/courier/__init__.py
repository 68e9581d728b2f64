"""The courier: the one process that may reach a host which is not the user's own, and the handle on it."""
