"""plainnet"""
