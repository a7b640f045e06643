"""How good plans are: against proven optima where there are any, against lower bounds elsewhere."""
