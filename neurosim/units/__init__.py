"""Physical quantities at the edge of the language; plain SI floats behind it.

``20 * ms`` is a `Quantity`: one float (or float64 array) in SI and a `Dimension`. Everything that crosses into the
compiler goes through `quantity`, which checks the dimension once and hands on the SI number.

A unit is a quantity like any other, and multiplying by it is one floating-point product: ``0.1 * ms`` is exactly what
``0.1 * 1e-3`` is, and ``parse_quantity("0.1 ms")`` is that number too. When all units cancel, the result is a plain
float or array, so ``(3 * mV) / mV`` needs no unwrapping.
"""

# "name as name": a public name of this module, for type checkers too
from neurosim.units.algebra import UNITS as UNITS
from neurosim.units.algebra import Quantity as Quantity
from neurosim.units.algebra import unit as _unit
from neurosim.units.check import index_text as index_text
from neurosim.units.check import quantity as quantity
from neurosim.units.check import scalar as scalar
from neurosim.units.dimension import AMOUNT as AMOUNT
from neurosim.units.dimension import AREA as AREA
from neurosim.units.dimension import CAPACITANCE as CAPACITANCE
from neurosim.units.dimension import CHARGE as CHARGE
from neurosim.units.dimension import CONCENTRATION as CONCENTRATION
from neurosim.units.dimension import CONDUCTANCE as CONDUCTANCE
from neurosim.units.dimension import CURRENT as CURRENT
from neurosim.units.dimension import DIMENSIONLESS as DIMENSIONLESS
from neurosim.units.dimension import ENERGY as ENERGY
from neurosim.units.dimension import FREQUENCY as FREQUENCY
from neurosim.units.dimension import LENGTH as LENGTH
from neurosim.units.dimension import LUMINOSITY as LUMINOSITY
from neurosim.units.dimension import MASS as MASS
from neurosim.units.dimension import POWER as POWER
from neurosim.units.dimension import RESISTANCE as RESISTANCE
from neurosim.units.dimension import TEMPERATURE as TEMPERATURE
from neurosim.units.dimension import TIME as TIME
from neurosim.units.dimension import VELOCITY as VELOCITY
from neurosim.units.dimension import VOLTAGE as VOLTAGE
from neurosim.units.dimension import VOLUME as VOLUME
from neurosim.units.dimension import Dimension as Dimension
from neurosim.units.dimension import usual_unit as usual_unit
from neurosim.units.text import parse_quantity as parse_quantity

second = s = _unit(1.0, TIME, "s", "second", "s")
ms, us, ns = _unit(1e-3, TIME, "ms"), _unit(1e-6, TIME, "us"), _unit(1e-9, TIME, "ns")
minute, hour = _unit(60.0, TIME, "minute"), _unit(3600.0, TIME, "hour")
volt = _unit(1.0, VOLTAGE, "V", "volt")
mV, uV, nV = _unit(1e-3, VOLTAGE, "mV"), _unit(1e-6, VOLTAGE, "uV"), _unit(1e-9, VOLTAGE, "nV")
amp = ampere = _unit(1.0, CURRENT, "A", "amp", "ampere")
mA, uA, nA = _unit(1e-3, CURRENT, "mA"), _unit(1e-6, CURRENT, "uA"), _unit(1e-9, CURRENT, "nA")
pA, fA = _unit(1e-12, CURRENT, "pA"), _unit(1e-15, CURRENT, "fA")
siemens = _unit(1.0, CONDUCTANCE, "S", "siemens")
mS, uS = _unit(1e-3, CONDUCTANCE, "mS"), _unit(1e-6, CONDUCTANCE, "uS")
nS, pS = _unit(1e-9, CONDUCTANCE, "nS"), _unit(1e-12, CONDUCTANCE, "pS")
farad, mF = _unit(1.0, CAPACITANCE, "F", "farad"), _unit(1e-3, CAPACITANCE, "mF")
uF, nF, pF = _unit(1e-6, CAPACITANCE, "uF"), _unit(1e-9, CAPACITANCE, "nF"), _unit(1e-12, CAPACITANCE, "pF")
ohm, kohm = _unit(1.0, RESISTANCE, "ohm"), _unit(1e3, RESISTANCE, "kohm")
Mohm, Gohm = _unit(1e6, RESISTANCE, "Mohm"), _unit(1e9, RESISTANCE, "Gohm")
hertz = Hz = _unit(1.0, FREQUENCY, "Hz", "hertz", "Hz")
kHz, MHz = _unit(1e3, FREQUENCY, "kHz"), _unit(1e6, FREQUENCY, "MHz")
metre = meter = _unit(1.0, LENGTH, "m", "metre", "meter")
cm, mm = _unit(1e-2, LENGTH, "cm"), _unit(1e-3, LENGTH, "mm")
um, nm = _unit(1e-6, LENGTH, "um"), _unit(1e-9, LENGTH, "nm")
mole, molar = _unit(1.0, AMOUNT, "mol", "mole"), _unit(1e3, CONCENTRATION, "molar")
mM, uM, nM = _unit(1.0, CONCENTRATION, "mM"), _unit(1e-3, CONCENTRATION, "uM"), _unit(1e-6, CONCENTRATION, "nM")
coulomb, joule = _unit(1.0, CHARGE, "C", "coulomb"), _unit(1.0, ENERGY, "J", "joule")
watt, kelvin = _unit(1.0, POWER, "W", "watt"), _unit(1.0, TEMPERATURE, "K", "kelvin")
kg = kilogram = _unit(1.0, MASS, "kg", "kg", "kilogram")
gram, candela = _unit(1e-3, MASS, "g", "gram"), _unit(1.0, LUMINOSITY, "cd", "candela")

# What a star imports: the units. Not ns, nanoseconds, which is what everybody calls neurosim itself.
__all__ = [name for name, value in list(globals().items()) if isinstance(value, Quantity) and name != "ns"]
