"""The page's colours: told apart by the colour-blind, and on white and black paper."""

INK = "#1b2a38"  # of lines and letters in a drawing; on the page it becomes the colour of the text
MUTED = "#7f8a94"  # legible on white and on black
PALETTE = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#8C7A00", "#7f8a94")  # after Okabe and Ito, 2008
SCALE = "cividis"  # of numbers from low to high: even in lightness, the same to the colour-blind
DIVERGING = "PuOr"  # of numbers on both sides of zero
