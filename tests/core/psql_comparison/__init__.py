"""What a real psql sends to a real server, compared with what the script reader reads.

recorder   listens between psql and the server and writes down the queries
corpus     files that nobody here wrote, found on the machine
compare    one file: psql's queries against the reader's statements
"""
