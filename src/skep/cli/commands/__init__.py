"""The commands, a module for each noun or verb: from flags to API calls, from answers to lines."""
