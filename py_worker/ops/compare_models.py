"""Whether a student and a teacher can be trained together, before either is loaded."""

from py_worker.models.loading.pairing import require_pair
from py_worker.ops.support.specs import model_spec
from py_worker.protocol_gen import CompareModelsArgs, CompareModelsResult
from py_worker.session.context import OperationContext
from py_worker.session.session import Session


def run(_session: Session, args: CompareModelsArgs, _context: OperationContext) -> CompareModelsResult:
    """Reads configurations and tokenizers."""
    require_pair(model_spec(args.student), model_spec(args.teacher))
    return CompareModelsResult()
