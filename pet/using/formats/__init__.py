"""The labeled data set in the formats of other tools, and what people have labeled there."""
