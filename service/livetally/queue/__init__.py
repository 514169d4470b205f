"""SQS in: messages become events and items, and are deleted once those are committed.

consumer      receive, hand on, delete after the commit
sqs           the queue itself
message       what a message is: unwrapped, named
contents      a message taken apart, all the way
s3_reader     S3's objects as streams
parser        a JSON text: event, item, or a device's report?
writer        from there to the batcher, however long Postgres is away
rejections    why messages were rejected, for later
dead_letters  what ended there, and its second chance
admin         /admin/v1/dead-letters
setup         makes queue, topic and bucket
"""
