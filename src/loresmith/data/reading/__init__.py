"""Reading files with the readers, each in a process that may crash, hang or grow without harm to the rest."""
