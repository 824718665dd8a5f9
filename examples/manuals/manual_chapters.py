"""The manuals of a made-up manufacturer's pump and compressor. No such machine exists."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Chapter:
    """A chapter of a manual.

    Attributes:
        title: its heading.
        paragraphs: its text.
        steps: what is done, in this order.
    """

    title: str
    paragraphs: tuple[str, ...]
    steps: tuple[str, ...] = ()


PUMP = (
    Chapter(
        "Safety",
        (
            "The NP 200 is a horizontal, single-stage centrifugal pump for water and thin mineral oils up to 110 "
            "degrees Celsius. It must not be used for food, for solvents, or in places where an explosive atmosphere "
            "can form, unless its plate carries the mark for that zone.",
            "Whoever works on the pump has read this manual and has been shown where the main switch and the valves "
            "of the line are. Guards may be taken off only when the motor has been disconnected and locked, and they "
            "are put back before the lock is removed.",
            "Hot water stays under pressure after the motor has stopped. Wait until the casing has cooled below 60 "
            "degrees Celsius, open the vent slowly and stand to the side of it. Escaping liquid has caused burns in "
            "cases in which the pressure gauge already showed zero, because the gauge line was blocked.",
        ),
    ),
    Chapter(
        "Installation",
        (
            "Set the base plate on a concrete foundation that weighs at least three times as much as pump and motor "
            "together. The concrete has to cure for seven days before the anchor bolts are tightened. Leave 600 "
            "millimetres free on the side of the motor, so that the rotating unit can be pulled out without moving the "
            "piping.",
            "The suction line should be short and rise steadily towards the pump, since every high point collects "
            "air. Support both lines near the flanges. If the bolts of a flange have to be forced into their holes, "
            "the line pulls on the casing, and the bearings will not reach half of their life.",
            "Align the coupling when the lines are connected and filled, and once more at working temperature. "
            "Parallel offset may be 0.05 millimetres, and the gap at the rim may differ by 0.04 millimetres around "
            "the circumference.",
        ),
        (
            "Check the foundation with a level in both directions.",
            "Place shims under the base plate beside each anchor bolt and tighten the bolts by hand.",
            "Grout the base plate and wait until the grout is hard.",
            "Connect the lines without tension and fit the strainer of the suction side for the first week.",
            "Align the coupling, write the readings into the record, and fit the guard.",
        ),
    ),
    Chapter(
        "Commissioning",
        (
            "Never start the pump dry. The faces of the mechanical seal are lubricated by the liquid and crack within "
            "seconds without it. Fill casing and suction line through the vent until liquid without bubbles comes out.",
            "Check the direction of rotation by starting the motor for less than a second. Seen from the motor the "
            "shaft turns clockwise. A pump that turns backwards delivers about half of its flow and looks as if it "
            "were worn.",
        ),
        (
            "Open the suction valve fully and the discharge valve by a quarter.",
            "Start the motor and watch the discharge pressure rise.",
            "Open the discharge valve slowly until the current of the motor is that of its plate.",
            "After an hour measure the temperature of the bearings; it should have settled below 80 degrees Celsius.",
        ),
    ),
    Chapter(
        "Operation",
        (
            "Keep the flow between 40 and 115 percent of the best point. Below that, liquid turns around in the "
            "impeller and heats the casing; above it, the pump cavitates and the motor is overloaded. Regulate with "
            "the discharge valve or the speed, never with the valve of the suction side.",
            "A sound as of gravel in the casing is cavitation. Find out whether the strainer is clogged, whether the "
            "level in the tank has fallen, or whether the liquid is hotter than planned, before anybody orders a new "
            "impeller.",
            "A pump on standby is started once a week for ten minutes. Otherwise the balls of the bearings press into "
            "their tracks while the machines beside it shake the floor.",
        ),
    ),
    Chapter(
        "Maintenance",
        (
            "Grease the bearings every 4000 hours with 15 grams of lithium grease of grade 2. More is not better: a "
            "bearing that is full of grease runs hot. Wipe the nipple before the gun is put on it, because most of the "
            "dirt in bearings came in with the grease.",
            "The mechanical seal may lose up to five drops a minute during the first two days. If it still leaks after "
            "that, it has been fitted askew or run dry. Seals are replaced as a pair of faces and never polished.",
            "Open the casing every 16000 hours. Measure the gap between impeller and wear ring at four places. The "
            "ring is replaced when the gap has doubled; by then the pump has lost about five percent of its "
            "efficiency.",
        ),
        (
            "Disconnect and lock the motor, and close both valves.",
            "Drain the casing through the plug at its lowest point.",
            "Take off the coupling guard and the spacer of the coupling.",
            "Loosen the nuts of the casing cover crosswise and pull out the rotating unit with the two jack screws.",
            "Clean the faces, measure the gap, and note it in the record of the machine.",
        ),
    ),
    Chapter(
        "Storage and disposal",
        (
            "A pump that is stored for longer than three months is drained, dried with warm air and sprayed with a "
            "preserving oil that the seal tolerates. Turn the shaft by a quarter every month and write it down on "
            "the tag.",
            "Drain the oil before the pump is scrapped. Cast iron, bronze and the copper of the motor are collected "
            "separately. The seal contains fluorocarbon rubber, which must not be burnt in the open.",
        ),
    ),
)

COMPRESSOR = (
    Chapter(
        "How the NK 90 works",
        (
            "Two rotors with helical lobes turn into one another without touching. Air is trapped between them, "
            "carried towards the discharge end and pressed into ever less room. Oil that is injected at the same "
            "time seals the gaps, takes up the heat of compression and lubricates the bearings.",
            "Behind the rotors the mixture enters the separator tank. Most of the oil falls down because the mixture "
            "turns in a circle; the rest is held back by the separator cartridge, so that the air leaves with less "
            "than three milligrams of oil in a cubic metre.",
        ),
    ),
    Chapter(
        "Oil",
        (
            "Use only oil for screw compressors of viscosity grade 46. Engine oil foams and leaves the tank with the "
            "air. Change it after the first 500 hours and then every 4000 hours, or once a year, whichever is first; "
            "in dusty halls twice as often.",
            "If the oil is milky, water has condensed in it because the compressor runs too short and stays cold. "
            "Let it run above 75 degrees Celsius for an hour each day, and drain the water from the tank in the "
            "morning, before the first start.",
        ),
        (
            "Run the compressor until the oil is warm, then stop it and wait until the tank is without pressure.",
            "Open the plug of the drain and let the oil run out for a quarter of an hour.",
            "Replace the filter; oil the gasket of the new one and turn it in by hand.",
            "Fill up to the middle of the glass, run for five minutes, stop, and fill up again.",
        ),
    ),
    Chapter(
        "Separator cartridge",
        (
            "The cartridge is due when the pressure before and behind it differs by 0.8 bar. A sudden fall of that "
            "difference is worse than its rise: the cartridge has torn, and oil goes into the line. Close the line at "
            "once and drain the traps behind the dryer.",
        ),
    ),
)
