"""The process engine: forkserver workers joined by ``multiprocessing.Pipe`` connections."""
