"""Why a model answered what it did: contributions of each feature that sum to the prediction, exactly."""
