"""What people decide about detections, and how far each decision reaches."""
