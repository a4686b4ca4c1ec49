"""Its place puts tests/ on the import path, so that test modules may share the builders that stand here."""
