import io

import numpy as np
import pytest
import tifffile

from core.errors import BrokenFile, TooLarge, UnsupportedFormat
from core.io import ReadLimits, read_scan, read_scan_bytes
from core.io.describe import describe_scan
from core.scan import ScanSource


def imagej(array, **options):
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, array, imagej=True, **options)
    return buffer.getvalue()


def counting(*shape):
    return np.arange(np.prod(shape), dtype=np.uint16).reshape(shape)


def test_pages_are_slices():
    stack = counting(5, 6, 7)
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, stack, photometric="minisblack")
    scan = read_scan_bytes(buffer.getvalue(), "scan")
    np.testing.assert_array_equal(scan.voxels[:, 0], stack)
    assert scan.slice_names == ("scan_1", "scan_2", "scan_3", "scan_4", "scan_5")


def test_an_imagej_stack_has_its_slices_channels_and_calibration():
    stack = counting(3, 2, 4, 5)  # (z, channel, y, x)
    content = imagej(stack, resolution=(2.0, 4.0), metadata={"axes": "ZCYX", "unit": "mm", "spacing": 3.5})
    scan = read_scan_bytes(content, "scan")
    np.testing.assert_array_equal(scan.voxels, stack)
    assert scan.spacing_mm == (3.5, 0.25, 0.5)


@pytest.mark.parametrize("unit", ["micron", "um", "\\u00B5m"])  # the last is how ImageJ writes µm
def test_micrometres_become_millimetres(unit):
    content = imagej(counting(2, 4, 5), resolution=(1.0, 2.0), metadata={"axes": "ZYX", "unit": unit, "spacing": 500})
    assert read_scan_bytes(content, "scan").spacing_mm == pytest.approx((0.5, 0.0005, 0.001))


@pytest.mark.parametrize("unit", ["inch", "pixel", ""])
def test_other_units_are_no_spacing(unit):
    content = imagej(counting(2, 4, 5), resolution=(72, 72), metadata={"axes": "ZYX", "unit": unit, "spacing": 2})
    assert read_scan_bytes(content, "scan").spacing_mm == (None, None, None)


@pytest.mark.parametrize("spacing", ["nan", "0", "-1", "two"])
def test_an_impossible_spacing_is_unknown(spacing):
    content = imagej(
        counting(2, 4, 5), resolution=(0.0, 2.0), metadata={"axes": "ZYX", "unit": "mm", "spacing": spacing}
    )
    assert read_scan_bytes(content, "scan").spacing_mm == (None, 0.5, None)


def test_an_imagej_colour_stack_has_three_channels():
    stack = counting(3, 4, 5, 3).astype(np.uint8)
    scan = read_scan_bytes(imagej(stack, metadata={"axes": "ZYXS"}), "scan")
    np.testing.assert_array_equal(scan.voxels, stack.transpose(0, 3, 1, 2))


def test_a_film_is_refused():
    with pytest.raises(UnsupportedFormat, match="4 points in time"):
        read_scan_bytes(imagej(counting(4, 5, 6), metadata={"axes": "TYX"}), "scan")


def large_imagej(stack, images):
    """ImageJ lists only the first page of a very large stack; the rest follows without gap."""
    first = stack[0].astype(">u2")
    text = f"ImageJ=1.53\nimages={images}\nslices={images}\n".encode()
    buffer = io.BytesIO()
    tifffile.imwrite(
        buffer, first, byteorder=">", description=text.decode(), metadata=None, photometric="minisblack", software=False
    )
    content = buffer.getvalue()
    with tifffile.TiffFile(io.BytesIO(content)) as file:
        end = file.pages[0].dataoffsets[0] + first.nbytes
    return content[:end] + stack[1:].astype(">u2").tobytes()


def test_pictures_that_follow_the_only_page_are_slices():
    stack = counting(4, 5, 6)
    np.testing.assert_array_equal(read_scan_bytes(large_imagej(stack, 4), "scan").voxels[:, 0], stack)


def test_pictures_that_are_stated_and_not_there_are_an_error():
    with pytest.raises(BrokenFile, match="states 5"):
        read_scan_bytes(large_imagej(counting(4, 5, 6), 5), "scan")


def test_stated_pictures_are_counted_before_they_are_made():
    with pytest.raises(TooLarge, match="more than the 10"):
        read_scan_bytes(large_imagej(counting(4, 5, 6), 999_999_999), "scan", ReadLimits(ifds=10))


def test_a_truncated_list_of_pages_as_tifffile_writes_it_is_read_whole():
    stack = counting(4, 5, 6)
    buffer = io.BytesIO()
    with tifffile.TiffWriter(buffer) as writer:
        writer.write(stack, photometric="minisblack", truncate=True)
    assert len(tifffile.TiffFile(io.BytesIO(buffer.getvalue())).pages) == 1
    np.testing.assert_array_equal(read_scan_bytes(buffer.getvalue(), "scan").voxels[:, 0], stack)


@pytest.mark.parametrize("axes", ["ZCYX", "CZYX"])
def test_an_ome_stack_has_its_slices_channels_and_spacing(axes):
    stack = counting(3, 2, 4, 5) if axes == "ZCYX" else counting(2, 3, 4, 5)
    buffer = io.BytesIO()
    metadata = {
        "axes": axes,
        "PhysicalSizeX": 0.5,
        "PhysicalSizeXUnit": "mm",
        "PhysicalSizeY": 250.0,
        "PhysicalSizeZ": 2000.0,
    }
    tifffile.imwrite(buffer, stack, ome=True, photometric="minisblack", metadata=metadata)
    scan = read_scan_bytes(buffer.getvalue(), "scan")
    np.testing.assert_array_equal(scan.voxels, stack if axes == "ZCYX" else stack.transpose(1, 0, 2, 3))
    assert scan.spacing_mm == (2.0, 0.25, 0.5)


def test_an_ome_colour_picture_has_three_channels():
    stack = counting(2, 4, 5, 3).astype(np.uint8)
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, stack, ome=True, photometric="rgb", metadata={"axes": "ZYXS"})
    np.testing.assert_array_equal(read_scan_bytes(buffer.getvalue(), "scan").voxels, stack.transpose(0, 3, 1, 2))


def test_an_ome_film_is_refused():
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, counting(3, 4, 5), ome=True, photometric="minisblack", metadata={"axes": "TYX"})
    with pytest.raises(UnsupportedFormat, match="3 points in time"):
        read_scan_bytes(buffer.getvalue(), "scan")


def test_an_ome_file_that_holds_a_part_of_a_picture_is_refused():
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, counting(3, 4, 5), ome=True, photometric="minisblack", metadata={"axes": "ZYX"})
    content = buffer.getvalue().replace(b'SizeZ="3"', b'SizeZ="7"')
    with pytest.raises(UnsupportedFormat, match="a part"):
        read_scan_bytes(content, "scan")


def test_between_the_slices_of_several_files_nothing_is_known(tmp_path):
    paths = []
    for number in (1, 2):
        paths.append(tmp_path / f"c_{number}.tif")
        paths[-1].write_bytes(
            imagej(counting(4, 5), resolution=(2.0, 2.0), metadata={"axes": "YX", "unit": "mm", "spacing": 5})
        )
    assert read_scan(paths[0]).spacing_mm == (5.0, 0.5, 0.5)
    assert read_scan(ScanSource("c", tuple(paths))).spacing_mm == (None, 0.5, 0.5)


def test_a_description_that_states_an_impossible_size_counts_as_none():
    buffer = io.BytesIO()
    side = "1" + "0" * 4000
    tifffile.imwrite(buffer, counting(4, 5), description=f'{{"shape": [{side}, {side}]}}', metadata=None)
    assert read_scan_bytes(buffer.getvalue(), "scan").shape == (1, 4, 5)


@pytest.mark.parametrize("files", [1, 2])
def test_the_spacing_told_is_the_spacing_read(files, tmp_path):
    for number in range(files):
        content = imagej(counting(4, 5), resolution=(2.0, 4.0), metadata={"unit": "mm"})
        (tmp_path / f"s_{number}.tif").write_bytes(content)
    assert describe_scan(tmp_path).described.spacing_mm == read_scan(tmp_path).spacing_mm == (None, 0.25, 0.5)
