"""Makes the bucket of a mesh. Apart from the engine, because an S3 client takes long to load and most commands need none."""

from reprise import s3


async def create_bucket(bucket: s3.Bucket) -> None:
    """Makes the bucket, unless it is there."""
    async with s3.client(bucket, connections_max=1) as client:
        try:
            await client.create_bucket(Bucket=bucket.name)
        except (client.exceptions.BucketAlreadyOwnedByYou, client.exceptions.BucketAlreadyExists):
            return
