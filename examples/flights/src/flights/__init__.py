"""Will a flight out of New York arrive more than fifteen minutes late?

The modules follow the loop: `data` (tables), `features` (what was known an hour before
departure), `train` (four trainings), `smoke` (is a candidate fit?), `traffic` (September
onward, as live requests).
"""
