"""runfmt"""
