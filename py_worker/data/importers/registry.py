"""All importers, by name."""

from collections.abc import Mapping

from py_worker.data.importers import (
    dolly,
    iwslt17,
    openwebtext,
    samsum,
    self_instruct,
    sni,
    strategyqa,
    unni,
    vicuna,
)
from py_worker.data.importers.importer import Importer

IMPORTERS: Mapping[str, Importer] = {
    importer.name: importer
    for importer in (
        dolly.IMPORTER,
        self_instruct.IMPORTER,
        vicuna.IMPORTER,
        sni.IMPORTER,
        unni.IMPORTER,
        openwebtext.IMPORTER,
        samsum.IMPORTER,
        iwslt17.IMPORTER,
        strategyqa.IMPORTER,
    )
}
