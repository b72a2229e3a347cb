"""Will a flight out of New York arrive more than fifteen minutes late?

The modules follow the loop: `data` (tables), `features` (what was known an hour before
departure), `train` (the trainings), `smoke` (is a candidate fit?), `traffic` (September onward,
as live requests). `leak` and `detour` spoil a good model.
"""
