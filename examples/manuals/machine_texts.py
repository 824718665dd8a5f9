"""What the service department of a made-up manufacturer has written beside its manuals."""

from __future__ import annotations

NPSH = (
    "The net positive suction head that a plant offers has to be greater than what the pump requires, by at least "
    "half a metre. What the plant offers follows from the pressure on the liquid, the height of its surface above "
    "the pump, the losses in the suction line, and the vapour pressure of the liquid at its temperature."
)

LUBRICATION = """\
# Lubrication of rolling bearings

Revision A. It applies to all machines with grease nipples.

## How much grease

The quantity in grams is the outer diameter times the width of the bearing, both in millimetres, times 0.005. Half of
it is enough when the bearing sits upright, since grease sinks out of it slowly.

## Which grease

| Place | Grease | Interval in hours |
| --- | --- | --- |
| Pump NP 200, both bearings | Lithium, grade 2 | 4000 |
| Motor up to 45 kW | Polyurea, grade 2 | 8000 |
| Compressor NK 90, fan | Lithium complex, grade 2 | 6000 |

Greases with different thickeners must not be mixed. Lithium and polyurea become liquid together and run out of the
bearing within days. If nobody knows what is in it, wash the bearing out.

## What a bearing tells

- A whistle that vanishes for an hour after greasing means that the film is too thin: shorten the interval.
- A rumble that stays is damage of the tracks: plan the replacement, do not grease it away.
- Brown grease at the seal has been too hot. Measure the temperature under load.
- White grease has taken up water; look at the seal first and at the hose of the cleaning crew second.
"""
REVISED = (
    ("Revision A", "Revision B"),
    ("since grease sinks out of it slowly", "as grease sinks out of it slowly"),
    ("grade 2 | 4000 |", "grade 2 | 3500 |"),
    ("wash the bearing out", "wash the bearing out first"),
    ("plan the replacement", "order the replacement"),
)
"""What revision B says instead."""

CONTROLLER = """\
Controller PC 4
===============

The controller keeps the pressure of a group of pumps by changing their speed and by starting another one when one alone
does not suffice.

.. note::
   The controller is set while the pumps stand still. A wrong set point starts all of them at once.

Setting the pressure
--------------------

1. Hold **SET** until the display blinks.
2. Choose the pressure in tenths of a bar with the arrows.
3. Press **SET** again. The value is kept when the power fails.

Parameters
----------

=========  =======================================  ========
Parameter  Meaning                                  Factory
=========  =======================================  ========
P01        Set point of the pressure, in bar        4.0
P02        Seconds until another pump is started    12
P03        Least speed, in percent                  45
P07        Hours after which the lead pump changes  24
=========  =======================================  ========

A pump that hunts, that is to say whose speed rises and falls every few seconds, has a gain that is too high or a
pressure vessel that has lost its gas. Check the vessel first: its gas pressure should be 90 percent of the set point
while the water side is empty.

Connection to the plant
-----------------------

The controller speaks Modbus. A typical entry of the gateway looks as follows::

    [modbus]
    address = 17
    baud = 19200
    parity = even
"""

BULLETINS = (
    (
        "Coupling inserts of batch 44",
        "Inserts of the batch 44 were vulcanised at too low a temperature and turn brittle in warm halls. They are "
        "grey instead of black. Replace them at the next service, and in any case before the summer. The new inserts "
        "are free of charge; send the old ones back, so that we can see how far the cracks have gone.",
    ),
    (
        "Firmware 2.8 of the controller",
        "Version 2.8 corrects the change of the lead pump. In version 2.7 the hours were counted even while the "
        "group stood still, so that after a shutdown of the plant all pumps changed at once and the breaker tripped. "
        "Install it over the service port; the settings are kept, except for P07, which has to be entered again.",
    ),
    (
        "Draining in frost",
        "Several casings burst last January because only the drain plug of the casing had been opened. The NP 200 "
        "holds another half litre in the flushing line of the seal, and that is what froze. Loosen the fitting at "
        "the gland, too, and turn the shaft by hand until nothing more comes out.",
    ),
    (
        "Oil for compressors in food plants",
        "Where compressed air may touch food, only oils that are registered for incidental contact may be filled in. "
        "They age faster: halve the interval. When changing over, flush twice, because one percent of the old oil is "
        "enough to spoil the registration of the new one.",
    ),
    (
        "Vibration after an exchange of the impeller",
        "Impellers are balanced together with their key. Two workshops fitted a longer key than the one delivered, and "
        "the shaft ran out of balance by 9 millimetres a second. Use the key in the bag, or have both balanced again.",
    ),
    (
        "Name plates that come off",
        "The adhesive of plates from last spring does not withstand cleaning with lye. Rivet the plate, or write the "
        "serial number on the casing with a paint marker. A pump without its number gets no spare parts.",
    ),
)

TRAINING = (
    (
        "Vibration: what we measure",
        (
            "Velocity in millimetres a second, root mean square",
            "At three directions of each bearing",
            "Always at the same speed and load",
        ),
        "Let everybody put a hand on a good and on a bad machine first.",
    ),
    (
        "What the number means",
        ("Below 2.8: good", "2.8 to 4.5: may go on running", "4.5 to 7.1: plan the repair", "Above 7.1: stop it"),
        "These are the limits for machines of medium size on a stiff foundation.",
    ),
    (
        "What the direction means",
        (
            "Radial, once a turn: imbalance",
            "Axial, twice a turn: misalignment",
            "Many harmonics: something is loose",
        ),
        "Tighten the bolts before anybody aligns anything.",
    ),
)

HYDRAULICS = (
    (
        "Head and pressure",
        "A pump does not make pressure, it makes head: it lifts every liquid to the same height, whether it is light "
        "or heavy. The gauge shows more for brine than for petrol, although the pump works just as well. This is why "
        "curves are drawn in metres. To find the pressure in bar, multiply the head in metres by the density in "
        "kilograms per litre, and divide by 10.2.",
    ),
    (
        "The curve of the plant",
        "The plant resists the flow. A part of its resistance is the height to be overcome and does not depend on the "
        "flow; the rest is friction in the pipes, and grows with the square of the flow. Where the curve of the plant "
        "meets the curve of the pump, there the pump works, and nowhere else, whatever was written into the order.",
    ),
    (
        "Pumps side by side",
        "Two equal pumps side by side do not deliver twice as much. At a higher flow the friction rises, both pumps "
        "have to make more head, and each delivers less than it would alone. In flat plants the second pump adds "
        "four fifths, in plants with long pipes perhaps a fifth.",
    ),
)

IMPRINT = (
    "Nordhaven Pumps and Compressors, Quay Road 14, Northport. Registered in Northport under number 90210.",
    "Errors and changes of the construction excepted. Reprints, even of parts, only with our written consent.",
)
