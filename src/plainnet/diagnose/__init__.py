"""The doctor: findings about data, network, training and result."""
