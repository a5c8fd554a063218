"""flow/v1: from text to a plan. Read `compiler.compile_flow` first."""
