"""The command line: ``conveyor check | draw | explain | run TARGET``."""
