"""`python -m promptship.cli`."""

from promptship.cli import main

if __name__ == "__main__":
    main()
