"""What everything stands on.

config          LIVETALLY_*, read once
backoff         how long to wait before trying again
errors          every rejection and its status
validation      what every decoder checks alike
lines           bytes to lines, packed or plain, of any size
client_address  whose request it is
aws             clients of AWS, and failures by cause
"""
