"""Ways to train the weights of a backbone that many voters share: all of them, some, or small new ones beside them."""
