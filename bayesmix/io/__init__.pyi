from bayesmix.io.readers import read as read
from bayesmix.io.readers import read_table as read_table
from bayesmix.io.saved_files import load as load
from bayesmix.io.saved_files import save as save
