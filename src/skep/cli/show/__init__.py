"""What people see: lists as tables, templates or JSON; numbers and times in their words."""
