"""Options that several verbs of the `metseg` command share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

FAILED, WRONG_USAGE, STOPPED = 3, 2, 130
Values = dict[str, Any]

Labelled = Annotated[Path, typer.Argument(metavar="DATA", help="Folder of images with their masks.")]
Model = Annotated[str | None, typer.Option(help="A shipped model's name, or a model folder; else the default model.")]
DeviceName = Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")]
PrecisionName = Annotated[str, typer.Option(help="auto, fp32, bf16 or fp16.")]
Threshold = Annotated[
    float | None, typer.Option(help="Probability from which a voxel is lesion; else the model's own.")
]
Mirrored = Annotated[bool, typer.Option("--tta", help="Average with the mirrored image, at twice the time.")]
MinLesion = Annotated[int, typer.Option(help="Drop lesions of fewer voxels.")]
GridName = Annotated[
    str | None,
    typer.Option(
        help="Scale of slices: auto (by spacing), fit (longer side 256), stretch (square) or native; else the model's."
    ),
]
Channel = Annotated[str | None, typer.Option(help="The channel or sequence to take, by index from 0 or by name.")]
Series = Annotated[
    str | None, typer.Option(help="Which series or volume to take where files hold several; a listing names them.")
]
As = Annotated[str, typer.Option("--as", help="Write masks as nifti, seg (DICOM) or tiff; auto goes by what was read.")]
Probability = Annotated[bool, typer.Option("--probability", help="Write the probabilities too.")]
Deidentify = Annotated[bool, typer.Option("--deidentify", help="Put another patient into written DICOM.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace earlier results of metseg.")]
Patients = Annotated[
    str | None, typer.Option(help="How names tell patients: a regular expression with one group, or a CSV file.")
]
EachImage = Annotated[bool, typer.Option("--each-image", help="Every image is of another patient.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
