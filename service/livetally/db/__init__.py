"""Postgres: connections, migrations, partitions, and all SQL.

database      the pool, patience, migrations
partitions    days of the log, made ahead
service_role  the role that the service runs as
sql/          all SQL, named and commented
"""
