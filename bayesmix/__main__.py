"""``python -m bayesmix``: the program, where its folder is not on the path."""

from bayesmix.cli import main

if __name__ == "__main__":
    main()
