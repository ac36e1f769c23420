"""``python -m bayesmix``: the command line, if its script is not on the path."""

from bayesmix.shell import main

if __name__ == "__main__":
    main()
