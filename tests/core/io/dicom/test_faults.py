"""DICOM files that are damaged, impossible or meant to harm, and names that must not get out."""

import contextlib
import io
import logging
import struct
import tracemalloc
import zipfile
import zlib

import numpy as np
import pydicom
import pytest
from pydicom.datadict import DicomDictionary, keyword_for_tag
from pydicom.dataset import Dataset
from pydicom.uid import ImplicitVRLittleEndian

from core.errors import AmbiguousSeries, BrokenFile, InputError, MetsegError, TooLarge, UnsupportedFormat
from core.io import read_scan, read_scan_bytes
from core.io.dicom import describe, matches, read
from core.io.interface import RawFile
from core.io.limits import ReadLimits

LIMITS = ReadLimits()
MEGABYTE = 2**20
PLANTED = "SECRET"
TEXT_VRS = ("AE", "LO", "LT", "PN", "SH", "ST", "UC", "UT")


def read_one(content):
    return read([RawFile("file", content)], LIMITS)


def without_preamble(content, meta=True):
    """The bytes after the preamble, or those after the file meta information too."""
    body = content[132:]
    return body if meta else body[12 + struct.unpack_from("<I", body, 8)[0] :]


@pytest.fixture
def plain(dicom, volume):
    (file,) = dicom.slices(volume, keep=[0])
    return file.content


@pytest.mark.parametrize("meta", [True, False], ids=["with meta information", "bare"])
@pytest.mark.parametrize("implicit", [False, True])
def test_a_file_without_preamble_is_read(dicom, volume, meta, implicit):
    dataset = dicom.image(volume[0])
    content = dicom.save(dataset, ImplicitVRLittleEndian) if implicit else dicom.save(dataset)
    bare = without_preamble(content, meta)
    assert matches(bare)
    np.testing.assert_array_equal(read_one(bare).voxels[0, 0], volume[0])


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"DICM",
        b"hello, I am a text of some length",
        bytes(200),
        b"\x08\x00" * 40,
        b"\x89PNG\r\n\x1a\n" + bytes(40),
    ],
    ids=repr,
)
def test_other_files_are_not_taken_for_dicom(content):
    assert not matches(content)


@pytest.mark.parametrize("rows", [0, 65535])
def test_sizes_that_cannot_be_are_refused_before_memory_is_taken(dicom, volume, rows):
    content = dicom.save(dicom.image(volume[0], Rows=rows, Columns=65535))
    tracemalloc.start()
    with pytest.raises((TooLarge, BrokenFile)):
        read_one(content)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 8 * MEGABYTE


@pytest.mark.parametrize("frames", [-1, 0, 2, 4000, 10**9])
def test_frames_that_are_not_there_are_refused(dicom, volume, frames):
    with pytest.raises((TooLarge, BrokenFile)):
        read_one(dicom.save(dicom.image(volume[0], NumberOfFrames=frames)))


def test_pixels_that_are_too_few_are_refused(dicom, volume, plain):
    with pytest.raises(BrokenFile, match="ends before"):
        read_one(plain[:-50])
    with pytest.raises(BrokenFile, match="fewer pixels"):
        read_one(dicom.save(dicom.image(volume[0], Rows=volume.shape[1] + 1)))


def test_a_header_without_pixels_is_refused(plain):
    dataset = pydicom.dcmread(io.BytesIO(plain))
    del dataset.PixelData
    stream = io.BytesIO()
    dataset.save_as(stream)
    with pytest.raises(BrokenFile, match="no pixels"):
        read_one(stream.getvalue())


def test_a_file_that_is_cut_anywhere_is_an_error(plain):
    for end in range(1, len(plain) - 1, 7):
        with pytest.raises(InputError):
            read_scan_bytes(plain[:end], "cut")


def test_bytes_that_are_changed_anywhere_are_read_or_an_error(plain):
    generator = np.random.default_rng(11)
    outcomes = {"read": 0, "refused": 0}
    for _ in range(400):
        damaged = np.frombuffer(plain, np.uint8).copy()
        places = generator.integers(132, len(plain) - 300, 4)
        damaged[places] = generator.integers(0, 256, 4)
        try:
            read_one(damaged.tobytes())
            outcomes["read"] += 1
        except InputError:
            outcomes["refused"] += 1
    assert min(outcomes.values()) > 20


def nested(depth, tag=(0x0008, 0x1140), defined=True):
    """Sequences in sequences, explicit little endian; innermost an empty item."""
    value = b""
    head = struct.pack("<HH2sH", *tag, b"SQ", 0)
    if not defined:
        opened = head + struct.pack("<I", 0xFFFFFFFF) + struct.pack("<HHI", 0xFFFE, 0xE000, 0xFFFFFFFF)
        return (
            opened * depth + (struct.pack("<HHI", 0xFFFE, 0xE00D, 0) + struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)) * depth
        )
    parts = []
    length = 0
    for _ in range(depth):
        parts.append(head + struct.pack("<I", length + 8) + struct.pack("<HHI", 0xFFFE, 0xE000, length))
        length += 20
    return b"".join(reversed(parts)) + value


@pytest.mark.parametrize("defined", [True, False], ids=["defined length", "undefined length"])
@pytest.mark.parametrize("tag", [(0x0040, 0x9096), (0x5200, 0x9230), (0x0008, 0x1140)], ids=keyword_for_tag)
def test_ten_thousand_nested_sequences_are_an_error_or_passed_over(dicom, volume, defined, tag):
    content = dicom.save(dicom.image(volume[0], SeriesNumber=None))
    place = content.index(struct.pack("<HH", 0x7FE0, 0x0010))
    if tag[0] == 0x0008:
        place = content.index(struct.pack("<HH", 0x0010, 0x0010))
    harmful = content[:place] + nested(10_000, tag, defined) + content[place:]
    answer = None
    with contextlib.suppress(BrokenFile):
        answer = read_one(harmful)
    assert answer is None or np.array_equal(answer.voxels[0, 0], volume[0])
    np.testing.assert_array_equal(read_one(content).voxels[0, 0], volume[0])


def deflated(plain, more=b""):
    dataset = pydicom.dcmread(io.BytesIO(plain))
    dataset.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.1.99"
    stream = io.BytesIO()
    dataset.save_as(stream, enforce_file_format=True)
    content = stream.getvalue()
    meta = 132 + 12 + struct.unpack_from("<I", content, 132 + 8)[0]
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    body = packer.compress(without_preamble(plain, meta=False) + more) + packer.flush()
    return content[:meta] + body


def test_a_deflated_file_is_read_and_a_bomb_of_it_refused(plain, volume):
    np.testing.assert_array_equal(read_one(deflated(plain)).voxels[0, 0], volume[0])
    bomb = deflated(plain, bytes(64 * MEGABYTE))
    assert len(bomb) < MEGABYTE
    with pytest.raises(TooLarge):
        read([RawFile("bomb", bomb)], ReadLimits(file_bytes=MEGABYTE))
    with pytest.raises(BrokenFile, match="deflated"):
        read_one(deflated(plain)[:-300] + b"\xff" * 300)


def test_a_series_beyond_the_limits_is_refused(dicom, volume):
    with pytest.raises(TooLarge, match="slices"):
        read(dicom.slices(volume), ReadLimits(slices=4))


def test_the_good_files_of_a_folder_are_read_beside_others(dicom, volume, tmp_path):
    for file in dicom.slices(volume):
        (tmp_path / file.name).write_bytes(file.content)
    directory = dicom.image(volume[0], SOPClassUID="1.2.840.10008.1.3.10", Rows=None, Modality=None)
    del directory.PixelData
    (tmp_path / "DICOMDIR").write_bytes(dicom.save(directory))
    (tmp_path / "broken.dcm").write_bytes(b"")
    (tmp_path / "readme.txt").write_text("about these")
    scan = read_scan(tmp_path)
    np.testing.assert_array_equal(scan.voxels[:, 0], volume)
    assert [note.code for note in scan.notes] == ["not-dicom"]
    with pytest.raises(UnsupportedFormat):
        read_scan(tmp_path / "DICOMDIR")


@pytest.mark.parametrize("content", [b"", bytes(3000), b"cut off", None])
def test_a_slice_that_an_archive_lost_is_noticed_and_a_licence_is_not(dicom, volume, content):
    slices = {f"{index}.dcm": file.content for index, file in enumerate(dicom.slices(volume))}
    slices |= {"readme.txt": b"about these"} if content is None else {"9.dcm": content}
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, held in slices.items():
            archive.writestr(name, held)
    scan = read_scan_bytes(buffer.getvalue(), "scan.zip")
    np.testing.assert_array_equal(scan.voxels[:, 0], volume)
    assert [note.code for note in scan.notes] == ([] if content is None else ["not-dicom"])


def planted(dataset, index=0):
    """Put the secret into every text tag that the dictionary knows, into a private one, and into sequences."""
    nested_item = Dataset()
    for tag, (vr, *_) in DicomDictionary.items():
        if vr in TEXT_VRS and tag >> 16 in (0x0008, 0x0010, 0x0012, 0x0018, 0x0020, 0x0028, 0x0032, 0x0038, 0x0040):
            for place in (dataset, nested_item):
                place.add_new(tag, vr, f"{PLANTED}^{keyword_for_tag(tag)}"[: 16 if vr in ("AE", "SH") else 64])
    dataset.OtherPatientIDsSequence = [nested_item]
    dataset.ReferencedStudySequence = [nested_item]
    dataset.ImageType = ["ORIGINAL", PLANTED]
    dataset.PatientBirthDate = "19330303"
    dataset.private_block(0x0011, PLANTED, create=True).add_new(0x01, "LO", PLANTED)


def mistakes(dicom, volume):
    """Ways to go wrong, each as files, with the secret in all of them."""
    good = dicom.slices(volume, change=planted)
    other = dicom.slices(volume + 1, change=planted, keep=[1], root="1.2.9")
    second = dicom.slices(volume, change=planted, SeriesInstanceUID="1.2.8", root="1.2.8")
    yield [*good, *other]
    yield [*good, *second]
    yield [*good, *dicom.slices(volume[:, 1:], change=planted, root="1.2.9")]
    yield [RawFile("cut", good[0].content[:-100])]
    report = {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.66.4", "Modality": "SEG"}
    for tags in ({"PhotometricInterpretation": PLANTED}, {"BitsStored": 99}, {"Rows": 60000}, report):
        yield dicom.slices(volume, keep=[0], change=lambda dataset, index: planted(dataset), **tags)


@pytest.mark.filterwarnings("ignore")
def test_what_stands_in_text_tags_is_told_nowhere(dicom, volume, caplog, capfd):
    caplog.set_level(logging.DEBUG)
    files = dicom.slices(volume, keep=[0, 1, 3], change=planted)
    cases = list(mistakes(dicom, volume))
    caplog.clear()
    capfd.readouterr()
    decoded, described = read(files, LIMITS), describe(files, LIMITS)
    told = [repr(decoded), repr(described), repr(decoded.notes), repr(decoded.header)]
    for case in cases:
        with pytest.raises(MetsegError) as raised:
            read(case, LIMITS)
        told += [str(raised.value), repr(getattr(raised.value, "choices", ""))]
    assert isinstance(raised.value, UnsupportedFormat)
    out, err = capfd.readouterr()
    told += [out, err, caplog.text]
    # The files' own bytes are the input, not what is told of it.
    content = "".join(text for text in told if "RawFile" not in text)
    assert PLANTED not in content
    assert "19330303" not in content
    assert decoded.sequence is None


def test_an_error_names_the_file_and_not_in_its_sentence(dicom, volume):
    (file,) = dicom.slices(volume, keep=[0], Rows=60000)
    with pytest.raises(BrokenFile) as raised:
        read([RawFile("folder/patient-smith.dcm", file.content)], LIMITS)
    assert raised.value.source == "folder/patient-smith.dcm"
    assert "smith" not in raised.value.detail


def test_several_series_of_an_upload_are_listed(dicom, volume):
    both = [*dicom.slices(volume), *dicom.slices(volume, SeriesInstanceUID="1.2.8", root="1.2.8")]
    with pytest.raises(AmbiguousSeries) as raised:
        read(both, LIMITS)
    assert [choice.key for choice in raised.value.choices] == ["1", "2"]
