"""Matrices made and read: what they hold, and what is said of those that are wrong."""

import bz2
import gzip
import time
from collections.abc import Callable
from pathlib import Path
from zlib import crc32

import numpy as np
import pytest

from simulator import library
from tests.command import Run
from workloads.errors import UserError
from workloads.files.limits import Limits
from workloads.sparse.generate import GRAPH500_A, generate
from workloads.sparse.matrix import SparseProduct
from workloads.sparse.matrix_market import read_matrix, read_matrix_market
from workloads.work import Work

HEAD = "%%MatrixMarket matrix coordinate real general\n"


def test_rmat_is_graph500s() -> None:
    """Half of the scale's bits drawn are zero with the published odds: 0.57 + 0.19 for rows and for columns."""
    matrix = generate("rmat:12:16")
    assert (matrix.rows, matrix.cols) == (4096, 4096)
    assert 0.7 * 16 * 4096 < matrix.nonzeros < 16 * 4096  # duplicates are merged
    assert (np.diff(matrix.starts) >= 0).all()
    largest = int(matrix.row_sizes().max())
    assert largest > 20 * matrix.nonzeros / 4096 > 5 * int(generate("rmat:12:16,a=0.25").row_sizes().max()) / 5
    assert generate("rmat:12:16,a=0.57").nonzeros == matrix.nonzeros and GRAPH500_A == 0.57
    assert (generate("rmat:12:16,seed=1").indices[:50] != matrix.indices[:50]).any()


def test_the_first_bit_of_rmat_is_drawn_with_the_published_odds() -> None:
    from workloads.sparse.generate import _rmat_edges

    rows, cols = _rmat_edges(1, 200_000, GRAPH500_A, np.random.default_rng(0))
    odds = np.bincount(2 * rows + cols, minlength=4) / 200_000
    np.testing.assert_allclose(odds, [0.57, 0.19, 0.19, 0.05], atol=0.005)


def test_other_kinds() -> None:
    banded = generate("banded:5:1").to_scipy().toarray() != 0
    assert (banded == (abs(np.subtract.outer(range(5), range(5))) <= 1)).all()
    block = generate("block:64:8:0.25")
    assert block.nonzeros == 16 * 64 and set(np.unique(block.row_sizes() % 8)) == {0}
    uniform = generate("uniform:100x300:0.1")
    assert (uniform.rows, uniform.cols) == (100, 300) and abs(uniform.density - 0.1) < 0.02
    assert all(generate(text).values.all() for text in ("banded:5:1", "uniform:30x30:0.5", "rmat:5:4"))


def test_columns_are_sorted_and_single() -> None:
    for text in ("rmat:8:16", "uniform:50x50:0.3", "block:32:4:0.3", "banded:20:3"):
        matrix = generate(text)
        places = np.repeat(np.arange(matrix.rows), matrix.row_sizes()) * matrix.cols + matrix.indices
        assert (np.diff(places) > 0).all()


FILES = [
    (HEAD + "2 2 3\n1 1 1.5\n1 1 2.5\n2 1 0\n", [[4.0, 0], [0, 0]], 2),  # duplicates added up, a zero kept
    ("%%MatrixMarket matrix coordinate pattern symmetric\n3 3 2\n2 1\n3 3\n", [[0, 1, 0], [1, 0, 0], [0, 0, 1]], 3),
    ("%%MatrixMarket matrix coordinate integer general\n% a comment\n\n1 2 1\n1 2 -7\n", [[0, -7]], 1),
    ("%%MatrixMarket matrix array real general\n2 1\n0\n3\n", [[0], [3]], 1),
]


@pytest.mark.parametrize(("text", "dense", "stored"), FILES)
def test_files(tmp_path: Path, text: str, dense: list[list[float]], stored: int) -> None:
    (tmp_path / "a.mtx").write_text(text)
    found = read_matrix_market(tmp_path / "a.mtx")
    assert found.to_scipy().toarray().tolist() == dense
    assert found.nonzeros == stored
    with gzip.open(tmp_path / "b.mtx.gz", "wt") as file:
        file.write(text)
    assert read_matrix(str(tmp_path / "b.mtx.gz")).nonzeros == stored


def test_products_count_their_multiplications() -> None:
    left, right = generate("uniform:30x40:0.2"), generate("uniform:40x20:0.3")
    product = SparseProduct(left, right)
    ones = (left.to_scipy() != 0).astype(int) @ (right.to_scipy() != 0).astype(int)
    assert product.multiplies == ones.sum() == product.row_multiplies().sum()
    np.testing.assert_array_equal(product.row_multiplies(), ones.sum(axis=1))
    with pytest.raises(UserError, match=r"has 20 columns, and the other 30 rows; the two must be equal"):
        SparseProduct(right, left)


WRONG = [
    ("hello\n", "a.mtx:1: not a whole Matrix Market file: not a Matrix Market file. Missing banner"),
    (HEAD + "3 3 2\n1 1 1\n4 1 2\n", "a.mtx:4: not a whole Matrix Market file: row index out of bounds"),
    (HEAD + "3 3 2\n1 1 1\n", "a.mtx: not a whole Matrix Market file: truncated file. Expected another 1 lines"),
    (HEAD + "3 3 1\n1 x 1\n", "a.mtx:3: not a whole Matrix Market file: invalid integer value"),
    (HEAD + "3 3 1\n1 1 1\n2 2 1\n", "a.mtx:4: not a whole Matrix Market file: too many lines"),
    (HEAD + "3 3 1\n1 1 nan\n", "a.mtx: holds values that are not finite numbers, the first as element (1, 1)"),
    (HEAD + "0 3 0\n", "a.mtx: has no rows; a product needs at least one of each"),
    (
        HEAD + "3 3000000000 0\n",
        "a.mtx: the matrix has 3,000,000,000 rows or columns, and 100,000 are taken; --limit side=N",
    ),
    (HEAD + "99999999999999999999 3 0\n", "a.mtx: not a whole Matrix Market file: integer out of range"),
    ("%%MatrixMarket matrix coordinate complex general\n1 1 1\n1 1 1 1\n", "a.mtx:1: holds complex values"),
    ("", "a.mtx:1: not a whole Matrix Market file"),
]


@pytest.mark.parametrize(("text", "sentence"), WRONG)
def test_wrong_files(simulate: Run, tmp_path: Path, text: str, sentence: str) -> None:
    (tmp_path / "a.mtx").write_text(text)
    code, out, err = simulate("--arch", "piuma", "--matrix", "a.mtx")
    assert sentence in err and err.count("\n") == 1
    assert (code, out, [path.name for path in tmp_path.iterdir()]) == (2, "", ["a.mtx"])


PIUMA = ("--arch", "piuma")
MISTAKES = [
    ((*PIUMA, "--matrix", "none.mtx"), "none.mtx: cannot be read: No such file"),
    ((*PIUMA, "--matrix", "none"), "--matrix none: there is no such file; name a Matrix Market file, or a matrix such"),
    ((*PIUMA, "--matrix", "rmta:3:4"), "unknown kind of matrix 'rmta'; did you mean 'rmat'?"),
    ((*PIUMA, "--matrix", "rmat:3"), "--matrix rmat:3: is not a rmat matrix; write it like rmat:10:8"),
    (
        (*PIUMA, "--matrix", "rmat:30:16"),
        "the matrix has 1,073,741,824 rows or columns, and 100,000 are taken; --limit side=N raises",
    ),
    ((*PIUMA, "--matrix", "rmat:5:4,a=0.1"), "a: 0.1 is not a share from 0.25 to 0.95"),
    ((*PIUMA, "--matrix", "rmat:5:4,sede=1"), "unknown option 'sede'; did you mean 'seed'?"),
    ((*PIUMA, "--matrix", "uniform:5x5:2"), "density: '2' is not a number above 0 and at most 1"),
    ((*PIUMA, "--matrix", "uniform:0x5:0.1"), "a side is at least 1"),
    (
        (*PIUMA, "--matrix", "uniform:99999999x99999999:1"),
        "the matrix has 99,999,999 rows or columns, and 100,000 are taken",
    ),
    ((*PIUMA, "--matrix", "block:10:3:0.1"), "blocks of 3 do not fill 10 rows"),
    ((*PIUMA, "--matrix", "uniform:3x4:0.5"), "(3 x 4) cannot be multiplied by uniform:3x4:0.5 (3 x 4)"),
    ((*PIUMA, *("--matrix", "rmat:3:4") * 3), "--matrix: 3 are given; give one to be squared, or two"),
    ((*PIUMA, "--matrix", "rmat:3:4", "--model", "resnet18"), "give --matrix or --model, not both"),
    ((*PIUMA, "--matrix", "rmat:3:4", "--pattern", "2:8"), "--pattern: a product of matrices is no training step"),
    ((*PIUMA, "--matrix", "rmat:3:4", "--kernel", "smash-v4"), "unknown kernel 'smash-v4'; did you mean 'smash-v3'?"),
    (
        (*PIUMA, "--matrix", "rmat:3:4", "--kernel-option", "hsah=low-bits"),
        "hsah: a machine of kind fabric has no such choice; did you mean 'hash'? (it has kernel, hash, slots,",
    ),
    ((*PIUMA, "--matrix", "rmat:3:4", "--kernel-option", "hash=md5"), "unknown hash 'md5'"),
    ((*PIUMA, "--matrix", "rmat:3:4", "--kernel-option", "slots=100"), "100 is not a power of two; 128 is"),
    (
        (*PIUMA, "--matrix", "rmat:3:4", "--kernel-option", "slots=1073741824"),
        "the scratchpad has room for 65536 slots",
    ),
    ((*PIUMA, "--matrix", "rmat:3:4", "--kernel-option", "fill=2"), "'2' is not a number above 0 and at most 1"),
    ((*PIUMA, "--matrix", "rmat:3:4", "--kernel-option", "token"), "write NAME=VALUE, for example hash=low-bits"),
    ((*PIUMA, "--matrix", "rmat:3:4", "--exact"), "--exact: machine 'piuma' knows no other way"),
    ((*PIUMA, "--matrix", "rmat:3:4", "--dataflow", "x"), "dataflow: a machine of kind fabric has no such choice"),
    ((*PIUMA, "--matrix", "rmat:3:4", "--set", "cores_per_chip=9"), "cores_per_chip: 9 is not allowed"),
    ((*PIUMA, "--matrix", "rmat:3:4", "--set", "scratchpad.kib=0.01"), "scratchpad.kib: 0.01 KiB have no room"),
    (
        (*PIUMA, "--matrix", "rmat:10:8", "--set", "dram.capacity_gib_per_chip=0.00001"),
        "rmat:10:8 squared: the operands take 0.0 GiB, and the fabric's memory holds 0.0 GiB",
    ),
    (
        (*PIUMA, "--matrix", "rmat:10:8", "--set", "dram.capacity_gib_per_chip=0.001"),
        "operands and the result so far take 0.0 GiB, and the fabric's memory holds 0.0 GiB",
    ),
    (("--matrix", "rmat:3:4"), "--matrix: machine 'sat' multiplies the layers of a step"),
    (
        ("--model", "resnet9", "--kernel", "inner"),
        "kernel: a machine of kind systolic has no such choice (it has check_capacity, dataflow, objective",
    ),
    ((*PIUMA,), "give exactly one of --model, --gemm, --topology, --workload, --onnx: none is given"),
    (("study", "smash", "--largest", "40"), "--largest 40: the study goes from scale 7 to one of 8 to 16"),
]


@pytest.mark.parametrize(("arguments", "sentence"), MISTAKES, ids=[" ".join(each) for each, _ in MISTAKES])
def test_one_sentence_and_exit_code_2(simulate: Run, arguments: tuple[str, ...], sentence: str, tmp_path: Path) -> None:
    code, out, err = simulate(*arguments)
    assert sentence in err
    assert err.count("\n") == 1
    assert (code, out, list(tmp_path.iterdir())) == (2, "", [])


LARGE = [
    ("rmat:16:999999999", "--matrix rmat:16:999999999: the matrix has 6.6e+13 elements, and 1,048,576 are taken"),
    ("rmat:999999999:1", "the matrix has 1.3e+30 rows or columns, and 100,000 are taken; --limit side=N raises that"),
    ("uniform:90000x90000:0.1", "the matrix has 8.1e+08 elements"),
    ("banded:90000:999999999", "the matrix has 1.8e+14 elements"),
    ("block:90000:1:0.1", "elements, and 1,048,576 are taken"),
    ("uniform:9x9:" + "1" * 100_000, "is not a number above 0 and at most 1"),
    ("rmat:" + "9" * 300, "is not a rmat matrix"),
]


@pytest.mark.parametrize(("text", "said"), LARGE, ids=[text[:30] for text, _ in LARGE])
def test_a_matrix_above_the_limits_is_refused_before_it_is_made(text: str, said: str) -> None:
    began = time.process_time()
    with pytest.raises(UserError) as caught:
        read_matrix(text)
    assert said in str(caught.value)
    assert time.process_time() - began < 1


def test_a_file_is_refused_for_what_its_head_claims(tmp_path: Path) -> None:
    path = tmp_path / "a.mtx"
    for head, said in (
        ("100000000 100000000 1\n1 1 1\n", "the matrix has 100,000,000 rows or columns"),
        ("9 9 2000000000\n1 1 1\n", "the matrix has 2,000,000,000 elements"),
        ("9 9 1000000\n1 1 1\n", "1000000 entries do not fit 64 bytes"),
    ):
        path.write_text(HEAD + head)
        with pytest.raises(UserError, match=said):
            read_matrix(str(path))


@pytest.mark.parametrize(("ending", "pack"), [(".gz", gzip.compress), (".bz2", bz2.compress)])
def test_a_packed_file_is_unpacked_no_further_than_the_limit(
    tmp_path: Path, ending: str, pack: Callable[[bytes], bytes]
) -> None:
    path = tmp_path / f"a.mtx{ending}"
    path.write_bytes(pack(HEAD.encode() + b"% \n" * 1_000_000))
    with pytest.raises(
        UserError, match="unpacked, the file has 2 MiB, and 1 are taken; --limit file_mib=N raises that"
    ):
        read_matrix(str(path), Limits(file_mib=1))
    path.write_bytes(pack(HEAD.encode())[:-9])
    with pytest.raises(UserError, match="not a whole Matrix Market file"):
        read_matrix(str(path))


def test_a_product_is_refused_before_it_is_multiplied(simulate: Run) -> None:
    code, _, err = simulate(*PIUMA, "--matrix", "rmat:8:8", "--limit", "multiplies=1000")
    assert code == 2 and "rmat:8:8 squared by kernel 'smash-v3' has 36,259 multiplies, and 1,000 are taken" in err
    code, _, err = simulate(*PIUMA, "--matrix", "banded:50000:0", "--kernel", "inner")
    assert code == 2 and "by kernel 'inner' has 5,000,000,000 comparisons, and 500,000,000 are taken" in err


def test_the_library_takes_limits() -> None:
    with pytest.raises(UserError, match="has 36,259 multiplies, and 1,000 are taken; --limit multiplies=N"):
        library.simulate("piuma", None, "rmat:8:8", limits={"multiplies": 1000})
    with pytest.raises(UserError, match="unknown limit 'multiply'; did you mean 'multiplies'"):
        library.simulate("piuma", None, "rmat:8:8", limits={"multiply": 1000})
    with pytest.raises(UserError, match="limits: a Work says these itself"):
        library.simulate("piuma", None, Work(matrices=("rmat:8:8",)), limits={"side": 1000})


SAME = {
    "rmat:8:8": 2781437550,
    "rmat:6:4,a=0.3,seed=2": 2299072523,
    "uniform:300x200:0.004": 1770983612,
    "uniform:64x64:0.3": 4096988834,
    "banded:50:3": 1616546670,
    "block:640:2:0.01": 430884343,
    "block:64:8:0.25": 203240971,
}


def test_matrices_are_those_of_earlier_versions() -> None:
    """Digests of the stored places, so that what was published can be made again."""
    found = {text: crc32(generate(text).indices.tobytes()) for text in SAME}
    assert found == SAME


def test_a_number_that_is_no_integer_is_read_whole_and_may_end_the_file(tmp_path: Path) -> None:
    path = tmp_path / "a.mtx"
    path.write_text("%%MatrixMarket matrix coordinate integer general\n2 2 2\n1 1 2.5\n2 1 1e-3")
    assert read_matrix_market(path).values.tolist() == [2.5, 0.001]
