"""Machine code made here: functions written instruction by instruction, compiled by LLVM for the processor at hand.

For the few places where operations of torch pass memory on to one another that one operation need not leave the
processor with. A function is compiled in some tenths of a second when an engine loads, and needs no compiler on the
machine: llvmlite brings LLVM along. It runs on the threads of torch's own operations, in the same team of OpenMP, so
that the two never want the same core.

Legend: W numbers of a vector.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

try:
    import llvmlite.binding as llvm
    from llvmlite import ir
except ImportError:  # no wheel for this machine
    llvm = ir = None

Stored = Literal["bf16", "fp16", "fp32"]
"""How a number lies in memory; it is computed in fp32."""

_STORED: dict[torch.dtype, Stored] = {torch.bfloat16: "bf16", torch.float16: "fp16", torch.float32: "fp32"}

_LINE = 64
"""Bytes of a cache line."""

_EXP2 = (1.8775767e-3, 8.9893397e-3, 5.5826318e-2, 2.4015361e-1, 6.9315308e-1, 9.9999994e-1)
"""2^f for 0 <= f < 1, by its minimax polynomial of degree 5, from f^5 down; within 2e-7."""


@cache
def compiles() -> bool:
    """Whether functions can be compiled here and run on torch's threads."""
    return llvm is not None and _openmp() is not None and _runs_what_is_written()


def stored_as(dtype: torch.dtype) -> Stored | None:
    """How numbers of a type lie in memory; None where no function that is compiled here reads them."""
    stored = _STORED.get(dtype) if compiles() else None
    return None if stored == "fp16" and not _converts_halves() else stored


@cache
def _converts_halves() -> bool:
    """Whether the processor has instructions for fp16."""
    features = llvm.get_host_cpu_features()
    return "f16c" not in features or bool(features["f16c"])  # all but some of Intel's and AMD's have


def bytes_of(stored: Stored) -> int:
    """Of one number."""
    return 4 if stored == "fp32" else 2


def width_of(size: int) -> int:
    """W for rows of so many numbers: the largest that divides it."""
    return next(width for width in (16, 8, 4, 2, 1) if size % width == 0)


def bits_of(value: float) -> int:
    """Of a number in fp32, as an argument."""
    return int(np.float32(value).view(np.int32))


class Code:
    """A function that is being written. It takes 64-bit numbers, is run by all threads at once, and gives nothing.

    Args:
        arguments: their names.
        width: W.

    Attributes:
        given: the arguments by their names.
        thread, threads: the number of the thread that runs it, and how many do.
    """

    def __init__(self, arguments: Sequence[str], width: int) -> None:
        self._i32, self._i64 = ir.IntType(32), ir.IntType(64)
        self._bytes = ir.IntType(8).as_pointer()
        self._float = ir.FloatType()
        self.width = width
        self._floats = ir.VectorType(self._float, width)
        self._ints = ir.VectorType(self._i32, width)
        self._module = ir.Module()
        type_ = ir.FunctionType(ir.VoidType(), [self._i64.as_pointer()])
        self._function = ir.Function(self._module, type_, "run")
        self._entry = self._function.append_basic_block()
        self._b = ir.IRBuilder(self._function.append_basic_block())
        (taken,) = self._function.args
        self.given = {
            name: self._b.load(self._b.gep(taken, [self._i64(place)])) for place, name in enumerate(arguments)
        }
        self.thread, self.threads = (self._openmp_number(f"omp_get_{name}") for name in ("thread_num", "num_threads"))

    def finish(self) -> Parallel:
        """Compile it."""
        self._b.ret_void()
        with self._b.goto_block(self._entry):
            self._b.branch(self._function.basic_blocks[1])
        return Parallel(str(self._module), list(self.given))

    # Whole numbers: addresses, places, counts.

    def number(self, value: int) -> Any:
        return self._i64(value)

    def add(self, *values: Any) -> Any:
        return self._chain(self._b.add, values)

    def subtract(self, one: Any, other: Any) -> Any:
        return self._b.sub(one, self._whole(other))

    def multiply(self, *values: Any) -> Any:
        return self._chain(self._b.mul, values)

    def divide(self, one: Any, other: Any) -> Any:
        """Of numbers that are not negative."""
        return self._b.udiv(one, self._whole(other))

    def remainder(self, one: Any, other: Any) -> Any:
        return self._b.urem(one, self._whole(other))

    def round_down(self, one: Any, power: int) -> Any:
        """To a multiple of a power of two."""
        return self._b.and_(one, self._i64(-power))

    def round_up(self, one: Any, power: int) -> Any:
        return self.round_down(self.add(one, power - 1), power)

    def smaller(self, one: Any, other: Any) -> Any:
        other = self._whole(other)
        return self._b.select(self._b.icmp_signed("<", one, other), one, other)

    def larger(self, one: Any, other: Any) -> Any:
        other = self._whole(other)
        return self._b.select(self._b.icmp_signed(">", one, other), one, other)

    def whole_at(self, base: Any, place: Any) -> Any:
        """The number at a place of an array of int64."""
        return self._b.load(self._pointer(self.add(base, self.multiply(place, 8)), self._i64))

    @contextmanager
    def each(self, begin: Any, end: Any, step: Any = 1) -> Iterator[Any]:
        """The loop over begin, begin + step, ... below end. What is written inside is its body."""
        begin, end, step = (self._whole(value) for value in (begin, end, step))
        place = self._allocate(self._i64)
        self._b.store(begin, place)
        head, body, done = (self._function.append_basic_block() for _ in range(3))
        self._b.branch(head)
        self._b.position_at_end(head)
        at = self._b.load(place)
        self._b.cbranch(self._b.icmp_signed("<", at, end), body, done)
        self._b.position_at_end(body)
        yield at
        self._b.store(self._b.add(at, step), place)
        self._b.branch(head)
        self._b.position_at_end(done)

    # Vectors of W numbers in fp32.

    def vector(self, value: float) -> Any:
        return ir.Constant(self._floats, [value] * self.width)

    def variable(self) -> Any:
        """A place for one vector that changes in loops; see `get` and `put`."""
        return self._allocate(self._floats)

    def get(self, variable: Any) -> Any:
        return self._b.load(variable)

    def put(self, variable: Any, value: Any) -> None:
        self._b.store(value, variable)

    def read(self, address: Any, stored: Stored) -> Any:
        """The W numbers at an address."""
        if stored == "fp32":
            return self._load(address, self._floats, 4)
        if stored == "fp16":
            return self._b.fpext(self._load(address, ir.VectorType(ir.HalfType(), self.width), 2), self._floats)
        halves = self._load(address, ir.VectorType(ir.IntType(16), self.width), 2)
        return self._b.bitcast(self._b.shl(self._b.zext(halves, self._ints), self._int_vector(16)), self._floats)

    def write(self, value: Any, address: Any, stored: Stored) -> None:
        """Put a vector at an address, rounded to the nearest, halfway ones to even."""
        if stored == "fp16":
            value = self._b.fptrunc(value, ir.VectorType(ir.HalfType(), self.width))
        elif stored == "bf16":
            bits = self._b.bitcast(value, self._ints)
            odd = self._b.and_(self._b.lshr(bits, self._int_vector(16)), self._int_vector(1))
            bits = self._b.add(self._b.add(bits, self._int_vector(0x7FFF)), odd)
            value = self._b.trunc(self._b.lshr(bits, self._int_vector(16)), ir.VectorType(ir.IntType(16), self.width))
        self._b.store(value, self._pointer(address, value.type)).align = 4 if stored == "fp32" else 2

    def read_one(self, address: Any) -> Any:
        """The single fp32 number at an address, W times."""
        return self.spread(self._load(address, self._float, 4))

    def write_one(self, number: Any, address: Any) -> None:
        self._b.store(number, self._pointer(address, self._float)).align = 4

    def spread(self, number: Any) -> Any:
        """A single number W times."""
        none = ir.Constant(self._floats, ir.Undefined)
        first = self._b.insert_element(none, number, self._i32(0))
        return self._b.shuffle_vector(first, none, ir.Constant(self._ints, [0] * self.width))

    def first_of(self, vector: Any) -> Any:
        """The first number of a vector, a single one."""
        return self._b.extract_element(vector, self._i32(0))

    def as_float(self, bits: Any) -> Any:
        """A single fp32 number given by its bits in an argument, W times."""
        return self.spread(self._b.bitcast(self._b.trunc(bits, self._i32), self._float))

    def plus(self, one: Any, other: Any) -> Any:
        return self._b.fadd(one, other)

    def minus(self, one: Any, other: Any) -> Any:
        return self._b.fsub(one, other)

    def times(self, one: Any, other: Any) -> Any:
        return self._b.fmul(one, other)

    def over(self, one: Any, other: Any) -> Any:
        return self._b.fdiv(one, other)

    def times_plus(self, one: Any, other: Any, summand: Any) -> Any:
        """one other + summand, rounded once where the processor multiplies and adds in one."""
        return self._named("llvm.fmuladd", self._floats, one, other, summand)

    def maximum(self, one: Any, other: Any) -> Any:
        return self._named("llvm.maxnum", self._floats, one, other)

    def root(self, vector: Any) -> Any:
        return self._named("llvm.sqrt", self._floats, vector)

    def sum_of(self, vector: Any) -> Any:
        """The sum of a vector's numbers, a single one; always in the same order."""
        return self._named("llvm.vector.reduce.fadd", self._float, self._float(0), vector, fastmath=("reassoc",))

    def maximum_of(self, vector: Any) -> Any:
        return self._named("llvm.vector.reduce.fmax", self._float, vector)

    def exp(self, vector: Any) -> Any:
        """e^x for x <= 88, within 3e-7 + 1e-7 |x| of it; for x < -87 2^-126. What is no number stays none."""
        exponent = self.maximum(self.times(vector, self.vector(1.4426950408889634)), self.vector(-126.0))
        whole = self._named("llvm.floor", self._floats, exponent)
        rest = self.minus(exponent, whole)
        power = self.vector(_EXP2[0])
        for coefficient in _EXP2[1:]:
            power = self.times_plus(power, rest, self.vector(coefficient))
        bits = self._b.shl(self._b.add(self._b.fptosi(whole, self._ints), self._int_vector(127)), self._int_vector(23))
        return self._or_nan(vector, self.times(power, self._b.bitcast(bits, self._floats)))

    def tanh(self, vector: Any) -> Any:
        """1 - 2 / (e^2x + 1), within 1e-6. What is no number stays none."""
        bounded = self._named("llvm.minnum", self._floats, self.maximum(vector, self.vector(-40.0)), self.vector(40.0))
        doubled = self.exp(self.plus(bounded, bounded))
        result = self.minus(self.vector(1.0), self.over(self.vector(2.0), self.plus(doubled, self.vector(1.0))))
        return self._or_nan(vector, result)

    def _or_nan(self, vector: Any, result: Any) -> Any:
        """A result, but where what it is of is no number: maxima let such vanish."""
        return self._b.select(self._b.fcmp_unordered("uno", vector, vector), vector, result)

    def fetch_ahead(self, address: Any, size: int) -> None:
        """Have memory brought near, of so many bytes."""
        for offset in range(0, size, _LINE):
            pointer = self._b.inttoptr(self.add(address, offset), self._bytes)
            hints = [self._i32(hint) for hint in (0, 3, 1)]  # to read, soon and often, data
            self._b.call(
                self._intrinsic("llvm.prefetch.p0i8", ir.VoidType(), [self._bytes, *[self._i32] * 3]), [pointer, *hints]
            )

    def _allocate(self, type_: Any) -> Any:
        """In the entry, which goes on to what was written first when the function is finished."""
        with self._b.goto_block(self._entry):
            return self._b.alloca(type_)

    def _openmp_number(self, name: str) -> Any:
        address = ctypes.cast(getattr(_openmp(), name), ctypes.c_void_p).value
        function = self._b.inttoptr(self._i64(address), ir.FunctionType(self._i32, []).as_pointer())
        return self._b.zext(self._b.call(function, []), self._i64)

    def _chain(self, operation: Any, values: Sequence[Any]) -> Any:
        result = self._whole(values[0])
        for value in values[1:]:
            result = operation(result, self._whole(value))
        return result

    def _whole(self, value: Any) -> Any:
        return self._i64(value) if isinstance(value, int) else value

    def _int_vector(self, value: int) -> Any:
        return ir.Constant(self._ints, [value] * self.width)

    def _pointer(self, address: Any, type_: Any) -> Any:
        return self._b.inttoptr(address, type_.as_pointer())

    def _load(self, address: Any, type_: Any, align: int) -> Any:
        loaded = self._b.load(self._pointer(address, type_))
        loaded.align = align
        return loaded

    def _named(self, name: str, result: Any, *values: Any, fastmath: Sequence[str] = ()) -> Any:
        """One of LLVM's own functions on vectors of W numbers."""
        function = self._intrinsic(f"{name}.v{self.width}f32", result, [value.type for value in values])
        return self._b.call(function, values, fastmath=fastmath)

    def _intrinsic(self, name: str, result: Any, taken: Sequence[Any]) -> Any:
        return self._module.globals.get(name) or ir.Function(self._module, ir.FunctionType(result, taken), name)


class Parallel:
    """A compiled function.

    Args:
        text: the module in LLVM's language.
        arguments: the names of the numbers that it takes.
    """

    def __init__(self, text: str, arguments: Sequence[str]) -> None:
        machine = _machine()
        module = llvm.parse_assembly(text)
        module.verify()
        builder = llvm.create_pass_builder(machine, llvm.create_pipeline_tuning_options(speed_level=3))
        builder.getModulePassManager().run(module, builder)
        self._engine = llvm.create_mcjit_compiler(module, machine)  # the code is its, and goes with it
        self._engine.finalize_object()
        self._address = self._engine.get_function_address("run")
        self._names = tuple(arguments)
        self._taken = ctypes.c_int64 * len(arguments)

    def __call__(self, **arguments: int) -> None:
        """Run it on as many threads as torch's operations have."""
        assert len(arguments) == len(self._names)
        taken = self._taken(*(arguments[name] for name in self._names))
        _openmp().GOMP_parallel(self._address, taken, torch.get_num_threads(), 0)


def _runs_what_is_written() -> bool:
    """Whether memory may be written and then run: hardened machines forbid it, and LLVM would not notice."""
    memory = mmap.mmap(-1, mmap.PAGESIZE, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    memory[0] = 0
    address = ctypes.c_void_p(ctypes.addressof(ctypes.c_char.from_buffer(memory)))
    return not ctypes.CDLL(None).mprotect(address, ctypes.c_size_t(mmap.PAGESIZE), mmap.PROT_READ | mmap.PROT_EXEC)


def _machine() -> Any:
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    features = llvm.get_host_cpu_features().flatten()
    target = llvm.Target.from_default_triple()
    return target.create_target_machine(cpu=llvm.get_host_cpu_name(), features=features, opt=3)


@cache
def _openmp() -> Any:
    """The library of threads that torch computes with, if it is one that takes functions from outside."""
    if not sys.platform.startswith("linux"):
        return None
    for place in (None, str(Path(torch.__file__).with_name("lib") / "libtorch_cpu.so")):  # as the loader looks for it
        try:
            library = ctypes.CDLL(place, mode=os.RTLD_NOLOAD | os.RTLD_NOW)
            library.GOMP_parallel.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint, ctypes.c_uint]
            library.GOMP_parallel.restype = None
        except (OSError, AttributeError):
            continue
        return library
    return None
