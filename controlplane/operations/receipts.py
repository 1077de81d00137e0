"""A receipt's place in the audit log: what was done, in the agent's own signed words."""

import base64

from google.protobuf.json_format import MessageToDict
from solward.hosts.v1 import link_pb2
from solward.operations.v1 import operations_pb2


def receipt_entry(
    operation: operations_pb2.Operation, signed: link_pb2.SignedReceipt, receipt: link_pb2.Receipt
) -> dict[str, object]:
    """Make the audit entry of a receipt; the signed bytes let anyone check it with the agent's certificate."""
    return {
        "phase": "event",
        "principal": operation.host,
        "kind": "agent",
        "method": operation.kind,
        "resource": operation.host,
        "operation": operation.name,
        "code": _result(receipt),
        "reason": receipt.reason,
        "receipt": MessageToDict(receipt),
        "signed_receipt": {
            "receipt": base64.b64encode(signed.receipt).decode(),
            "signature": base64.b64encode(signed.signature).decode(),
            "certificate_serial": signed.certificate_serial,
        },
    }


def _result(receipt: link_pb2.Receipt) -> str:
    # Open enums take any number off the wire; what has no name is put on record as it is.
    known = receipt.result in link_pb2.ReceiptResult.values()
    return link_pb2.ReceiptResult.Name(receipt.result).removeprefix("RECEIPT_RESULT_") if known else str(receipt.result)
