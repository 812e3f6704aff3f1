"""The embedded S3 server: objects are files, keys are asked for, the end is clean."""

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from astrid_stack import ports
from astrid_stack.objectstore import EmbeddedObjectStore

POLICY = Config(
    request_checksum_calculation="when_required",
    response_checksum_validation="when_required",
    retries={"max_attempts": 1},
)


def client(server: EmbeddedObjectStore, secret: str):
    return boto3.client(
        "s3",
        endpoint_url=server.endpoint,
        aws_access_key_id=server.access_key_id,
        aws_secret_access_key=secret,
        region_name="auto",
        config=POLICY,
    )


def test_objects_are_files(s3_server, s3_empty) -> None:
    client(s3_server, s3_server.secret_access_key).put_object(
        Bucket=s3_empty.bucket, Key="night/frame.fits", Body=b"pixels"
    )
    stored = s3_server.folder / s3_empty.bucket / "night" / "frame.fits"
    assert stored.read_bytes() == b"pixels"


def test_wrong_secret_is_refused(s3_server, s3_empty) -> None:
    with pytest.raises(ClientError) as caught:
        client(s3_server, "wrong").list_objects_v2(Bucket=s3_empty.bucket)
    assert caught.value.response["Error"]["Code"] == "SignatureDoesNotMatch"


def test_keys_are_not_on_the_command_line(s3_server) -> None:
    assert s3_server.secret_access_key not in " ".join(s3_server.program().argv)


def test_stops_and_starts_over_the_same_folder(servers_folder) -> None:
    server = EmbeddedObjectStore(servers_folder / "again", "astrid-again", "a-secret")
    with server:
        server.ensure_bucket("kept")
        client(server, "a-secret").put_object(Bucket="kept", Key="a", Body=b"1")
    assert not ports.answers(server.port)
    with server:
        assert client(server, "a-secret").get_object(Bucket="kept", Key="a")["Body"].read() == b"1"
